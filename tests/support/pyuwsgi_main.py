"""Run uWSGI as `python -m tests.support.pyuwsgi_main`: its wheel has no module that can be run."""

import pyuwsgi

pyuwsgi.run()
