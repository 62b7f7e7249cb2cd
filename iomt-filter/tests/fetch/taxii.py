# Runs medallion on a port of the kernel's choice, and says which.
import json
import sys

from medallion import application_instance, register_blueprints, set_config
from werkzeug.serving import make_server

with open(sys.argv[1]) as file:
    configuration = json.load(file)
for section in ("users", "taxii", "backend"):
    set_config(application_instance, section, configuration)
register_blueprints(application_instance)
server = make_server("127.0.0.1", 0, application_instance, threaded=True)
print(server.server_port, flush=True)
server.serve_forever()
