"""An OpenAPI description becomes capabilities: one operation, one capability.

reading.py      text to a document: JSON, YAML, versions, limits        swagger.py     2.0 to 3.0
references.py   `$ref` inside of the document                           schemas.py     schemas that stand alone
operations.py   what can be called, and what not and why                bodies.py      the body's arguments
capabilities.py an operation as the catalog knows it                    outlines.py    schemas cut to a size
serialising.py  styles of parameters, deserialising.py read back        requests.py    arguments to a request
responses.py    an answer to a value or an error                        paging.py      pages after the first
expert.py       calls                                                   registered.py  the YAML of one API
adding.py       from a file or an address to a preview                  changes.py     what an update changes
samples.py      values that fit a schema (patterns.py: an expression)   server.py      the tool server
trying.py       every operation called once on that server
"""
