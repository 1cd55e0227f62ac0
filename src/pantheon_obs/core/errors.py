"""Errors that pantheon-obs raises; nothing else of ours ever reaches the host."""

from __future__ import annotations


class ObsError(Exception):
    """Base class of every error raised by pantheon-obs."""


class ConfigError(ObsError, ValueError):
    """An argument of ours is wrong; the message names it, its value and what is accepted."""


class MissingExtraError(ObsError, ImportError):
    """A feature was asked for explicitly, but the package it needs is not installed."""
