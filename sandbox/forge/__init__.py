"""A real Gitea on loopback, its front end, and pull requests to try the product on."""
