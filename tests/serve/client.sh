#!/usr/bin/env bash
# Makes a Python client from a server's OpenAPI document, and labels a clip by it: client.sh FOLDER PORT CLIP.
# Says that it skips where Python has no venv or PyPI can't be reached.
set -euo pipefail

folder=$1 port=$2 clip=$3

skip() {
    echo "skipped: a client made from the document, $1" >&2
    exit 0
}

python3 -c 'import ensurepip, venv' 2>/dev/null || skip "Python's module venv isn't there (python3-venv)"
venv=$folder/venv
[[ -x $venv/bin/python ]] && "$venv/bin/python" -c '' 2>/dev/null || python3 -m venv --clear "$venv"
needs=("openapi-python-client>=0.26,<1" "openapi-spec-validator<1")
"$venv/bin/pip" install --quiet --disable-pip-version-check "${needs[@]}" || skip "PyPI can't be reached"

cd "$folder"
rm -rf made
python3 - "$port" <<'END'
import sys, urllib.request
urllib.request.urlretrieve(f"http://127.0.0.1:{sys.argv[1]}/openapi.json", "openapi.json")
END
"$venv/bin/python" -m openapi_spec_validator openapi.json >&2
# Without formatters, which it looks for.
echo 'post_hooks: []' > config.yaml
"$venv/bin/openapi-python-client" generate --path openapi.json --meta none --output-path made \
    --config config.yaml --overwrite >&2
"$venv/bin/python" - "$port" "$clip" <<'END'
import base64, pathlib, sys

from made import Client
from made.api.clips import classify, pipeline
from made.api.inference import about
from made.models import Form, Inputs, Wrong
from made.types import File

client = Client(base_url=f"http://127.0.0.1:{sys.argv[1]}")
clip = pathlib.Path(sys.argv[2])


def form(content):
    return Form(file=File(payload=content, file_name=clip.name))


with clip.open("rb") as content:
    answer = classify.sync(client=client, body=form(content))
text = base64.b64encode(clip.read_bytes()).decode()
best = pipeline.sync(client=client, body=Inputs.from_dict({"inputs": text, "parameters": {"top_k": 2}}))
wrong = classify.sync_detailed(client=client, body=form(__import__("io").BytesIO(b"no clip")))
assert isinstance(wrong.parsed, Wrong) and "not a video" in wrong.parsed.error, wrong
assert best[0].label == answer.labels[0].label and abs(best[0].score - answer.labels[0].score) < 1e-6
print(answer.labels[0].label, len(answer.labels), len(best), about.sync(client=client).models, wrong.status_code.value)
END
