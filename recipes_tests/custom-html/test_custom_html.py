"""custom-html: visitors see the pages that the owner wrote."""

import pytest

from harness import App, check, seed, wreck

PAGE = "/usr/share/nginx/html/ci.html"
TEXT = "made by hand, with an ö\n"

# %% [markdown]
# # custom-html
# The owner writes pages into the content volume. They are served, byte for byte, before and after an
# upgrade, a redeploy or a restore.


# %% What the owner creates
@seed
def the_owner_writes_a_page(app: App) -> None:
    app.write("app", PAGE, TEXT)


# %% What must hold after every operation
@check
def the_page_is_served(app: App) -> None:
    assert app.get("/ci.html").content == TEXT.encode()


# %% What a disaster destroys
@wreck
def the_page_is_lost(app: App) -> None:
    app.exec("app", "rm", PAGE)


# %% [markdown]
# ## What else the recipe promises


# %% Pages are pages, not downloads
@pytest.mark.functional
def test_a_page_has_its_content_type(app: App) -> None:
    assert app.get("/ci.html").headers["Content-Type"].startswith("text/html")


# %% An unknown page is a 404 from nginx, not from the proxy
@pytest.mark.functional
def test_an_unknown_page_is_a_real_404(app: App) -> None:
    assert "nginx" in app.get("/nope", status=404).headers["Server"]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
