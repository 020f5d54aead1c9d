"""What assets and sensors are given: the project, reached once a run.

The environment is read when a run or a tick begins, not when the definitions are loaded, so that they load anywhere.
Tests hand in a project of their own in its place.
"""

import os
from pathlib import Path

import dagster as dg

from dagster_project.project import Project, open_project
from dagster_project.settings import read_settings


@dg.resource(description="The project of this environment: settings, database and sources.")
def project_resource(_: dg.InitResourceContext) -> Project:
    """Reach the project that the environment names."""
    return open_project(read_settings(os.environ, Path.cwd()))
