"""Reads each format of a running threat_intel example with somebody else's reader of it.

Called by `tests/formats/run` with the example's origin and a key of the pro plan.
"""

import csv
import io
import json
import sys
import urllib.request
import xml.etree.ElementTree as xml

import stix2
import stix2validator
import taxii2client.common
import taxii2client.v21 as taxii
from pymisp import MISPEvent
from sigma.collection import SigmaCollection

ORIGIN, KEY = sys.argv[1:]
YEAR = "days=365"


def get(path):
    """The content type and the body of a good answer."""
    request = urllib.request.Request(ORIGIN + path, headers={"X-API-Key": KEY})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.headers["content-type"], answer.read()


def same(what, found, wanted):
    if found != wanted:
        sys.exit(f"{what}: found {found!r}, wanted {wanted!r}")


def judged(what, objects):
    """Each object, and all as a bundle, by the validator and by the strict reader."""
    bundle = {"type": "bundle", "id": "bundle--6f7f1d84-6e3e-4c49-9c3a-2f1a0d3a4f55", "objects": objects}
    options = stix2validator.ValidationOptions(version="2.1", strict=True)
    found = stix2validator.validate_string(json.dumps(bundle), options)
    if not found.is_valid:
        stix2validator.print_results(found)
        sys.exit(f"{what}: the validator refuses it")
    stix2.parse(bundle, allow_custom=False, version="2.1")


def check_stix(values):
    content_type, body = get(f"/api/v1/iocs/stix?{YEAR}")
    same("the media type of STIX", content_type, "application/stix+json;version=2.1")
    bundle = stix2.parse(body.decode(), allow_custom=False, version="2.1")
    same("what STIX parses to", bundle.type, "bundle")
    judged("STIX", json.loads(body)["objects"])
    indicators = [found for found in bundle.objects if found.type == "indicator"]
    same("indicators of STIX", len(indicators), len(values))
    print(f"STIX: {len(indicators)} indicators are valid")


def check_taxii(values):
    class Key(taxii2client.common.TokenAuth):
        def __call__(self, request):
            request.headers["Authorization"] = f"Bearer {self.key}"
            return request

    server = taxii.Server(f"{ORIGIN}/api/taxii2/", auth=Key(KEY))
    root = server.default
    same("the API roots", [found.url for found in server.api_roots], [root.url])
    same("the versions", root.versions, ["application/taxii+json;version=2.1"])
    indicators = 0
    for collection in root.collections:
        same("what may be done", (collection.can_read, collection.can_write), (True, False))
        pages = list(taxii.as_pages(collection.get_objects, per_request=7))
        objects = [found for page in pages for found in page.get("objects", [])]
        judged(f"TAXII, {collection.title}", objects)
        if len(pages) < 3 or any(len(page["objects"]) > 7 for page in pages):
            sys.exit(f"{collection.title}: the pages are {[len(p['objects']) for p in pages]}")
        ids = [found["id"] for found in objects]
        same("objects that come twice", len(set(ids)), len(ids))
        manifests = [
            entry
            for page in taxii.as_pages(collection.get_manifest, per_request=7)
            for entry in page["objects"]
        ]
        same("the manifest", [entry["id"] for entry in manifests], ids)
        since = manifests[-4]["date_added"]
        later = collection.get_objects(added_after=since)
        same("what was added later", [found["id"] for found in later["objects"]], ids[-3:])
        nothing = collection.get_objects(added_after=manifests[-1]["date_added"])
        same("what was added after all", nothing.get("objects", []), [])
        one = collection.get_object(ids[-1])
        same("one object", one["objects"], objects[-1:])
        versions = collection.object_versions(ids[-1])
        same("its versions", versions["versions"], [objects[-1]["modified"]])
        only = collection.get_objects(type="identity")
        same("those of a type", [found["type"] for found in only["objects"]], ["identity"])
        indicators += len(objects) - 1
    same("indicators of TAXII", indicators, len(values))
    print(f"TAXII: {indicators} indicators in {len(root.collections)} collections")


def check_sigma():
    content_type, body = get(f"/api/v1/rules/sigma?{YEAR}")
    same("the media type of Sigma", content_type, "application/yaml; charset=utf-8")
    rules = SigmaCollection.from_yaml(body.decode())
    same("what is wrong with the rules", [rule.errors for rule in rules], [[]] * 4)
    sources = [rule.logsource.category for rule in rules]
    same("the log sources", sources, ["network_connection", "dns", "proxy", "process_creation"])
    for rule in rules:
        if not rule.detection.parsed_condition[0].parse():
            sys.exit(f"the condition of {rule.title} is empty")
    print(f"Sigma: {len(rules)} rules")


def check_csv(path, rows):
    content_type, body = get(path)
    same("the media type of CSV", content_type, "text/csv; charset=utf-8; header=present")
    text = body.decode()
    if "\n" in text.replace("\r\n", ""):
        sys.exit(f"{path}: a record does not end with CRLF")
    found = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    same(f"columns of {path}", {len(row) for row in found}, {len(found[0])})
    same(f"rows of {path}", len(found) - 1, rows)
    print(f"CSV: {rows} rows of {path}")
    return found


def main():
    everything = json.loads(get(f"/api/v1/iocs?{YEAR}")[1])
    values = [ioc["value"] for ioc in everything["data"]]
    if len(values) < 60:
        sys.exit(f"there are {len(values)} indicators, and should be 60")
    check_stix(values)
    check_taxii(values)
    check_sigma()
    table = check_csv(f"/api/v1/iocs?format=csv&{YEAR}", len(values))
    same("values of CSV", [row[table[0].index("value")] for row in table[1:]], values)
    articles = json.loads(get(f"/api/v1/articles/export?{YEAR}")[1])["data"]
    table = check_csv(f"/api/v1/articles/export?format=csv&{YEAR}", len(articles))
    titles = [row[table[0].index("title")] for row in table[1:]]
    same("titles of CSV", titles, [article["title"] for article in articles])

    event = MISPEvent()
    event.load(get(f"/api/v1/export/misp?{YEAR}")[1])
    same("values of MISP", [attribute.value for attribute in event.attributes], values)
    document = xml.fromstring(get(f"/api/v1/export/openioc?{YEAR}")[1])
    contents = document.iter("{http://openioc.org/schemas/OpenIOC_1.1}Content")
    same("values of OpenIOC", [content.text for content in contents], values)
    lines = get(f"/api/v1/export/cef?{YEAR}")[1].decode().splitlines()
    same("lines of CEF", [line.count("|") for line in lines], [7] * len(values))
    print(f"MISP, OpenIOC, CEF: {len(values)} indicators each")


main()
