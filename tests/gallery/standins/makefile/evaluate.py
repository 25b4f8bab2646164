import json
import pathlib
import sys

print(json.dumps({"test": {"f1": float(pathlib.Path(sys.argv[1]).read_text())}}, indent=2))
