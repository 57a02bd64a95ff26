"""Which tests run where: `--toolkit NAME` selects those that need that environment, without it only those that need none."""

import contextlib

import pytest

with contextlib.suppress(ImportError):  # the toolkits' environments do without
    import hypothesis

    hypothesis.settings.register_profile("busy", deadline=None)
    hypothesis.settings.load_profile("busy")


def pytest_addoption(parser):
    parser.addoption("--toolkit", help="run the tests that are marked toolkit(NAME), and only them")
    parser.addoption("--slow", action="store_true", help="run slow tests too")


def pytest_collection_modifyitems(config, items):
    toolkit, slow_too = config.getoption("--toolkit"), config.getoption("--slow")

    def wanted(item: pytest.Item) -> bool:
        needs = item.get_closest_marker("toolkit")
        slow = item.get_closest_marker("slow")
        return (needs.args[0] if needs else None) == toolkit and (slow_too or not slow)

    left_out = [item for item in items if not wanted(item)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if wanted(item)]
