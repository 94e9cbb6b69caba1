"""Print what cameras see, as it happens: an example for applications (docs/events.md). Needs paho-mqtt, nothing else.

Beside a box:   python watch_events.py
At the fleet:   python watch_events.py --host HOST --port 8883 --ca ca.pem --certificate events.pem --key events.key
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion


def subscribe(client: Client, topic: str, code: Any, *_: object) -> None:
    """At each connection anew: the broker remembers nothing of us."""
    if code.is_failure:
        sys.exit(f"the broker refused us: {code}")
    client.subscribe(topic)


def show(payload: bytes) -> None:
    event = json.loads(payload)
    if event["schema"] != "longshore.event/v1":
        return  # of a later version; fields may be added within one
    seen = ", ".join(f"{_who(box)} {box['score']:.2f}{_where(box)}" for box in event["boxes"])
    happened = (f"; {_who(each)} {each['what']} {each['line'] or each['zone']}" for each in event.get("happened", []))
    print(f"{event['captured']}  {event['node']}/{event['camera']}  {seen or 'nothing'}{''.join(happened)}", flush=True)


def _who(thing: dict[str, Any]) -> str:
    """Boxes before 0.2 tell no track; a thing seen for the first time has none yet."""
    return f"{thing['label']} #{thing['track']}" if thing.get("track") else str(thing["label"])


def _where(box: dict[str, Any]) -> str:
    return f" in {' and '.join(box['zones'])}" if box["zones"] else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=1883)
    parser.add_argument(
        "--topic", default="longshore/v1/+/events/+", help="of one camera: longshore/v1/NODE/events/CAMERA"
    )
    for name in ("ca", "certificate", "key"):
        parser.add_argument(f"--{name}", metavar="FILE", help="for a broker that demands certificates")
    given = parser.parse_args()
    client = Client(CallbackAPIVersion.VERSION2, client_id="_events" if given.certificate else "")
    if given.certificate:
        client.tls_set(given.ca, given.certificate, given.key)
    client.on_connect = lambda client, _data, _flags, code, _more: subscribe(client, given.topic, code)
    client.on_message = lambda _client, _data, message: show(message.payload)
    client.connect(given.host, given.port, keepalive=15)
    client.loop_forever(retry_first_connection=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # nobody reads on: `watch_events.py | head`
        sys.stderr.close()
    except OSError as error:
        sys.exit(f"no broker answers there ({error}); see that it runs, and --host and --port")
