"""miniflux: a reader's categories are kept."""

import pytest
import requests

from harness import App, check, seed, wreck

CATEGORY = "kept by cc-ci"

# %% [markdown]
# # miniflux
# A feed reader with PostgreSQL. The reader's categories live in the database: they survive an
# upgrade, a redeploy, and a restore onto an empty server.


# %% The administrator that the recipe creates
def as_admin(app: App) -> tuple[str, str]:
    return "admin", app.secret("admin_pass").reveal()


def categories(app: App) -> list[str]:
    answer: requests.Response = app.get("/v1/categories", auth=as_admin(app))
    return [str(row["title"]) for row in answer.json()]


# %% What the reader creates
@seed
def the_reader_makes_a_category(app: App) -> None:
    app.post("/v1/categories", status=201, auth=as_admin(app), json={"title": CATEGORY})


# %% What must hold after every operation
@check
def the_category_is_there(app: App) -> None:
    assert CATEGORY in categories(app)


# %% What a disaster destroys
@wreck
def the_category_is_lost(app: App) -> None:
    app.exec(
        "db", "psql", "-qU", "miniflux", "-c", f"DELETE FROM categories WHERE title = '{CATEGORY}'"
    )


# %% [markdown]
# ## What else the recipe promises


# %% Visitors are asked to sign in
@pytest.mark.functional
def test_a_visitor_sees_the_sign_in_page(app: App) -> None:
    assert "Sign In - Miniflux" in app.get("/").text


# %% A wrong password is refused
@pytest.mark.functional
def test_a_wrong_password_is_refused(app: App) -> None:
    answer = app.get("/v1/me", status=401, auth=("admin", "wrong"))
    assert "error_message" in answer.json()


# %% A new user can sign in
@pytest.mark.functional
def test_a_new_user_can_sign_in(app: App) -> None:
    user = {"username": "second", "password": "a-long-password"}
    app.post("/v1/users", status=201, auth=as_admin(app), json=user)
    me = app.get("/v1/me", auth=(user["username"], user["password"])).json()
    assert me["username"] == "second" and not me["is_admin"]


# %% Only the database itself can read its files
@pytest.mark.functional
def test_the_database_keeps_its_files_private(app: App) -> None:
    folder = app.host("db").file("/var/lib/postgresql/data")
    assert folder.is_directory
    assert (folder.user, folder.mode) == ("postgres", 0o700)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
