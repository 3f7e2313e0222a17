"""What a finding is about, as members read it: address and port, and what else tells it apart."""

from typing import Any

from ..model import Finding
from .safe import defanged, one_line
from .words import Words


def address(event: dict[str, Any]) -> str:
    """Give the thing itself in few words: an address, a network, a name or an account; "" if there is none."""
    for field in ("source.ip", "source.network"):
        if field in event:
            return one_line(str(event[field]))
    for field in ("source.fqdn", "source.account", "source.url"):
        if field in event:
            return defanged(str(event[field]))
    return ""


def port(event: dict[str, Any], words: Words) -> str:
    """Give port and transport: ``6379/tcp``, ``source port 51234/tcp``; "" without a port."""
    if "source.port" not in event:
        return ""
    text = "/".join(one_line(str(event[field])) for field in ("source.port", "protocol.transport") if field in event)
    return words("source_port", port=text) if event.get("port_is") == "source" else text


def details(finding: Finding, words: Words) -> tuple[str, ...]:
    """Give further facts, a line each: URL or name if they are not the thing itself, the customer's reference."""
    event = finding.event
    told = address(event)
    url = defanged(str(event.get("source.url", "")))
    name = defanged(str(event.get("source.fqdn", "")))
    facts = [url if url != told else "", name if name != told and name not in url else ""]
    if finding.match.customer_ref:
        facts.append(words("customer", ref=finding.match.customer_ref))
    return tuple(fact for fact in facts if fact)
