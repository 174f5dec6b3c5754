"""A real Gitea on loopback, its pages, and pull requests to try the product on."""
