"""Every case of these tests is told in docs/reliability.md, a row for each module."""

from tests.faults import figures

pytest_runtest_makereport = figures.each_case("Lies, leaks and attacks", figures.of_module)
