"""The script with which processes share their sums in Redis, its client, and the sums' name."""

from __future__ import annotations

from importlib import import_module
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pantheon_obs.core.errors import SECRET, refuse
from pantheon_obs.core.in_force import in_force

if TYPE_CHECKING:
    from collections.abc import Callable

    from pantheon_obs.llm.cost.spending import BudgetWindow

_TIMEOUT = 0.5  # seconds that a command waits for the server

# The options of a client that say where the server is, and who we are.
_OPTIONS = ("host", "port", "path", "db", "username", "password", "credential_provider")


# For each key: our name, our spending and our calls without a price, as whole numbers. It returns
# the sums of all processes, and for each limit whether we are the first to have reached it.
_SCRIPT = """
local found, at = {}, 2
for _, key in ipairs(KEYS) do
  for i, name in ipairs({'spent', 'unpriced'}) do
    local mine, all = name .. ':' .. ARGV[at], ARGV[at + i]
    local more = all - (redis.call('HGET', key, mine) or 0)
    if more > 0 then
      redis.call('HSET', key, mine, all)
      redis.call('HINCRBY', key, name, string.format('%.0f', more))
    end
    found[#found + 1] = tonumber(redis.call('HGET', key, name) or 0)
  end
  redis.call('PEXPIRE', key, ARGV[1])
  at = at + 3
end
for i = at, #ARGV do
  local told, first = 'told:' .. ARGV[i], 0
  if found[1] >= tonumber(ARGV[i]) then
    redis.call('HSETNX', KEYS[1], told, ARGV[2])
    first = redis.call('HGET', KEYS[1], told) == ARGV[2] and 1 or 0
  end
  found[#found + 1] = first
end
return found
"""


def shared_name(per: str | None, window: BudgetWindow) -> str:
    """Name the sums that the processes of a service share."""
    parts = (in_force("service"), in_force("environment"), per, window)
    return ":".join("" if part is None else quote(str(part), safe="") for part in parts)


def script_of(client: Any) -> tuple[Any, Callable[[], object]]:
    """Return the script, run by a client of our own for the same server, and the client's closer.

    It has a time-out, and the application's connections and event loops are left alone. A client of
    another kind, for a cluster or sentinels, runs it itself if it is a synchronous one.
    """
    close: Callable[[], object] = bool  # a no-op
    pool: Any = getattr(client, "connection_pool", None)
    connection: Any = getattr(pool, "connection_class", None)
    plain = getattr(pool, "__module__", None) == getattr(connection, "__module__", "")
    if plain and pool.__module__ in ("redis.connection", "redis.asyncio.connection"):
        given = pool.connection_kwargs
        options = {name: given[name] for name in given if name in _OPTIONS or name[:4] == "ssl_"}
        redis = import_module("redis")
        never = import_module("redis.retry").Retry(import_module("redis.backoff").NoBackoff(), 0)
        kinds = import_module("redis.connection")
        client = redis.Redis(
            connection_pool=kinds.ConnectionPool(
                connection_class=getattr(kinds, connection.__name__),
                socket_timeout=_TIMEOUT,
                socket_connect_timeout=_TIMEOUT,
                retry=never,
                **options,
            )
        )
        close = client.connection_pool.disconnect
    register = getattr(client, "register_script", None)
    if not callable(register) or iscoroutinefunction(getattr(client, "execute_command", None)):
        shown = SECRET if isinstance(client, str) else client
        refuse("redis", shown, "a client of redis or redis.asyncio, or a synchronous RedisCluster")
    return register(_SCRIPT), close
