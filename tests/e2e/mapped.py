"""mapped.py: a region whose catalog, tables and mappings a test writes itself."""

import contextlib
import textwrap

from agency import PostgresAgency
from cluster import wait_for
from region import Region

HEAD = """\
agent
    agency = {name}
    database = "@DATABASE@"
    key = "@KEY@"
    control = "@CONTROL@"
broker
    endpoint = "@ENDPOINT@"
    key = "@BROKER_KEY@"
"""


@contextlib.contextmanager
def mapped_region(catalog, mappings, schemas):
    """Running, each agency loaded; mappings and schemas by agency."""
    region = Region(agencies=[])
    try:
        for name, mapping in mappings.items():
            template = region.run.write(f"{name}.zpl.in", HEAD.format(name=name) + mapping)
            schema = region.run.write(f"{name}.sql", textwrap.dedent(schemas[name]))
            region.agencies[name] = PostgresAgency(region, name, template=template, schema=schema)
        region.catalog = region.run.write("agreed.zpl", catalog)
        region.create_servers()
        region.configure(fence_interval="250ms")
        region.start()
        yield region
    finally:
        region.end()


def becomes(agency, sql, expected, seconds=20):
    """Until the query says so; shows what it said last when it never does."""
    said = []

    def right():
        said[:] = agency.query(sql)
        return said == expected
    try:
        wait_for("the copy", right, seconds)
    except Exception:
        assert said == expected
        raise


def nik(number):
    return f"64020601018000{number:02}"
