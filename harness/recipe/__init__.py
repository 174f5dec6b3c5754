"""A recipe's repository, read as data: git, versions, compose files, env files, hazards."""
