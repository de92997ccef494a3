#!/bin/sh
# Makes an environment with the official sonar-space packages (about 5 GB to download, once) and runs the tests that
# compare them with our port. Where it is: $SONAR_ENVIRONMENT, else .sonar-environment beside the repository.
set -eu
cd "$(dirname "$0")/../.."
environment=${SONAR_ENVIRONMENT:-../.sonar-environment}
if [ ! -x "$environment/bin/pytest" ]; then
    python3 -m venv "$environment"
    "$environment/bin/pip" install --quiet -e '.[sonar,speech]' soundfile pytest
fi
PYTHONPATH=src exec "$environment/bin/pytest" tests/encoders/test_sonar.py "$@"
