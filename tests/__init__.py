"""All tests of this checkout; a package, so that `bridge` within it does not hide the real one."""
