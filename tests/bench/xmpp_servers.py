"""How Prosody and ejabberd are configured and run: an archive in SQLite, verified TLS between the
servers, no limits on rates."""

import glob
import shutil

from lab import DOMAINS
from xmpp import COMPONENT_PORT, COMPONENT_SECRET, SERVERS_PORT, USERS_PORT, XmppSystem


class Prosody(XmppSystem):
    name = "prosody"

    def start(self, side, fresh=False):
        place = emptied(self.place(side), fresh)
        (place / "prosody.cfg.lua").write_text(self._configuration(side))
        command = ["prosody", "--config", str(place / "prosody.cfg.lua"), "-F"]
        process = self.lab.start(side, command, place / "output")
        self.processes[side] = process
        self.lab.await_port(side, USERS_PORT, process)
        self.lab.await_port(side, SERVERS_PORT, process)

    def _configuration(self, side) -> str:
        place, domain = self.place(side), DOMAINS[side]
        certificates = self.lab.state / "certificates"
        identity = (f'ssl = {{ key = "{certificates}/{domain}.key"; certificate = '
                    f'"{certificates}/{domain}.pem"; cafile = "{certificates}/ca.pem" }}')
        return f"""
run_as_root = true
daemonize = false
pidfile = "{place}/pid"
data_path = "{place}/data"
log = {{ info = "{place}/log" }}
modules_enabled = {{ "roster", "saslauth", "tls", "dialback", "disco", "register", "ping",
  "s2s_bidi", "mam", "smacks" }}
modules_disabled = {{ "s2s_limits" }}
interfaces = {{ "*" }}
local_interfaces = {{ "127.0.0.1" }}
component_ports = {{ {COMPONENT_PORT} }}
allow_registration = true
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
s2s_require_encryption = true
s2s_secure_auth = true
{identity}
storage = "sql"
sql = {{ driver = "SQLite3", database = "prosody.sqlite" }}
archive_expires_after = "never"
VirtualHost "{domain}"
  {identity}
Component "conference.{domain}" "muc"
  {identity}
  modules_enabled = {{ "muc_mam" }}
  muc_room_locking = false
  muc_room_default_persistent = true
  muc_log_by_default = true
  muc_log_expires_after = "never"
  max_archive_query_results = 250
Component "ext.{domain}"
  component_secret = "{COMPONENT_SECRET}"
"""


class Ejabberd(XmppSystem):
    name = "ejabberd"

    def start(self, side, fresh=False):
        place = emptied(self.place(side), fresh)
        (place / "ejabberd.yml").write_text(self._configuration(side))
        command = ["erl", "-noinput", "-sname", "ejabberd@localhost", "-setcookie", "bench",
                   "+K", "true", "-mnesia", "dir", f'"{place}/data"', "-s", "ejabberd"]
        environment = {
            "EJABBERD_CONFIG_PATH": f"{place}/ejabberd.yml",
            "EJABBERD_LOG_PATH": f"{place}/ejabberd.log",
            "ERL_CRASH_DUMP": f"{place}/crash",
            "ERL_LIBS": libraries(),
            "HOME": str(place),
        }
        process = self.lab.start(side, command, place / "output", environment, cwd=place)
        self.processes[side] = process
        self.lab.await_port(side, USERS_PORT, process)
        self.lab.await_port(side, SERVERS_PORT, process)

    def _configuration(self, side) -> str:
        place, domain = self.place(side), DOMAINS[side]
        certificates = self.lab.state / "certificates"
        return f"""
loglevel: warning
hosts: ["{domain}"]
certfiles: ["{certificates}/{domain}.full.pem"]
ca_file: "{certificates}/ca.pem"
s2s_use_starttls: required
# After a failed dial it would wait up to five minutes: longer than the phases that follow.
s2s_max_retry_delay: 10
auth_password_format: plain
disable_sasl_mechanisms: ["digest-md5", "X-OAUTH2"]
sql_type: sqlite
sql_database: {place}/data/ejabberd.sqlite
registration_timeout: infinity
listen:
  - port: {USERS_PORT}
    ip: "127.0.0.1"
    module: ejabberd_c2s
    max_stanza_size: 262144
    shaper: none
    access: all
    starttls_required: false
  - port: {SERVERS_PORT}
    ip: "0.0.0.0"
    module: ejabberd_s2s_in
    max_stanza_size: 524288
    shaper: none
  - port: {COMPONENT_PORT}
    ip: "127.0.0.1"
    module: ejabberd_service
    access: all
    shaper_rule: none
    hosts:
      "ext.{domain}":
        password: {COMPONENT_SECRET}
acl:
  local:
    user_regexp: ""
access_rules:
  local:
    allow: local
shaper_rules:
  c2s_shaper: none
  s2s_shaper: none
  max_user_sessions: 5000
modules:
  mod_disco: {{}}
  mod_roster: {{}}
  mod_register:
    ip_access: all
    access: all
  mod_s2s_dialback: {{}}
  mod_ping: {{}}
  mod_stream_mgmt:
    resend_on_timeout: if_offline
  mod_mam:
    db_type: sql
    default: always
  mod_muc:
    access: [allow]
    access_create: all
    access_persistent: all
    access_mam: [allow]
    max_users: 5000
    max_user_conferences: 5000
    history_size: 20
    min_message_interval: 0
    min_presence_interval: 0
    user_message_shaper: none
    user_presence_shaper: none
    room_shaper: none
    default_room_options:
      mam: true
      persistent: true
      public: true
      max_users: 5000
"""


def libraries() -> str:
    """Where Debian has ejabberd's own Erlang libraries: apart from Erlang's."""
    [found, *_] = glob.glob("/usr/lib/*-linux-gnu/ejabberd-*") or [None]
    if found is None:
        raise SystemExit("ejabberd is not installed: tests/bench/run.sh setup")
    return found.rpartition("/")[0]


def emptied(place, fresh: bool):
    if fresh:
        shutil.rmtree(place, ignore_errors=True)
    (place / "data").mkdir(parents=True, exist_ok=True)
    return place
