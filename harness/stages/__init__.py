"""The stages: one module for each stage of `harness.plan`, and the steps that stages share.

`functional` has no module: its tests are the suite's own. Shared steps: `deploy`, `provision`, `admission`,
`data` and `sentinel`. What the recipe did wrong is raised as a `RecipeFailure`, so that a broken recipe is a
failed test; infrastructure problems keep their own class and become errors.
"""
