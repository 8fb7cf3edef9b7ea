# Wi-Fi as the world has it: an access point that is there or not. Sockets are the host's, gated in
# socket.py by the state kept here.
import struct

import _link

STA_IF = 0
AP_IF = 1
AUTH_OPEN = 0
AUTH_WPA_WPA2_PSK = 4
STAT_IDLE = 1000
STAT_CONNECTING = 1001
STAT_GOT_IP = 1010
STAT_NO_AP_FOUND = 201
STAT_WRONG_PASSWORD = 202
STAT_BEACON_TIMEOUT = 200
STAT_ASSOC_FAIL = 203
STAT_HANDSHAKE_TIMEOUT = 204

_sta = [STAT_IDLE, -127, False]  # status, rssi, active
_host = ["mpy-esp32"]


def hostname(name=None):
    if name is None:
        return _host[0]
    _host[0] = name


def country(code=None):
    return "XX"


class WLAN:
    IF_STA = STA_IF
    IF_AP = AP_IF
    PM_NONE = 0
    PM_PERFORMANCE = 1
    PM_POWERSAVE = 2

    def __init__(self, interface=STA_IF):
        self._ap = interface == AP_IF

    def active(self, on=None):
        if on is None:
            return False if self._ap else _sta[2]
        if self._ap:
            if on:
                raise OSError("the virtual board has no access point")
            return False
        _sta[2] = bool(on)
        if not on:
            self.disconnect()
        return _sta[2]

    def connect(self, ssid=None, key=None, *, bssid=None):
        if not _sta[2]:
            raise OSError("Wifi Not Started")
        if _sta[0] == STAT_CONNECTING:
            raise OSError("Wifi Internal State Error")
        _sta[0] = STAT_CONNECTING
        _link.put(_link.WIFI, b"\1" + (ssid or "").encode() + b"\0" + (key or "").encode())
        _link.flush()

    def disconnect(self):
        _set(STAT_IDLE, -127)
        _link.put(_link.WIFI, b"\0")
        _link.flush()

    def isconnected(self):
        _link.pump()
        return not self._ap and _sta[0] == STAT_GOT_IP

    def status(self, what=None):
        _link.pump()
        if what is None:
            return _sta[0]
        if what == "rssi":
            if _sta[0] != STAT_GOT_IP:
                raise OSError("Wifi Not Connected")
            return _sta[1]
        raise ValueError("unknown status param")

    def config(self, *args, **kw):
        if kw:
            return None
        if args[0] == "mac":
            import machine

            return machine.unique_id()
        if args[0] in ("hostname", "dhcp_hostname"):
            return _host[0]
        if args[0] == "reconnects":
            return -1
        if args[0] == "pm":
            return 1
        raise ValueError("unknown config param")  # also for rssi: that is status("rssi")

    def ifconfig(self, config=None):
        if _sta[0] != STAT_GOT_IP:
            return ("0.0.0.0", "0.0.0.0", "0.0.0.0", "0.0.0.0")
        ip = "10.77.0.2" if _link.hello.get("net") else "127.0.0.1"
        return (ip, "255.0.0.0", ip, "10.77.0.1")

    def ipconfig(self, what=None, **kw):
        if what == "addr4":
            return (self.ifconfig()[0], "255.0.0.0")

    def scan(self):
        return []


def _set(status, rssi):
    _sta[0] = status
    _sta[1] = rssi
    up = status == STAT_GOT_IP
    if up != _link.wifi_up:
        _link.wifi_up = up
        _link.wifi_turn += 1


def _ev_wifi(body):
    _set(*struct.unpack("<hb", body))


_link.handlers[_link.EV_WIFI] = _ev_wifi
