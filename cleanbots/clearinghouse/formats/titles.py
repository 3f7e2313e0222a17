"""The one line in the member's language that names a finding."""

from ..model import Digest, Finding
from ..texts import Catalogue


def title(digest: Digest, finding: Finding) -> str:
    """Name a finding in the delivery's language; for two languages in both, with a slash between them."""
    catalogue = Catalogue.load(digest.hub.texts)
    languages = digest.delivery.language.split("+")
    return " / ".join(catalogue.title(finding.event, language) for language in languages)
