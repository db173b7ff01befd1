"""clerk.py: an agency whose people keep a list in a spreadsheet, and what its clerk does: types, saves, reads the corrections.

What such an agency holds is the list with its corrections typed in. Both are files that the clerk sees, so nothing here looks into
the agent's own state.
"""

import csv
import glob
import io
import json
import os

from agency import Agency
from cluster import ROOT, Failed, wait_for

TEMPLATE = f"{ROOT}/tests/e2e/lists/dinkes.zpl.in"

# The catalog's field, the list's title, and how it is spelt there: canonical to local.
CODES = {"sex": {"male": "L", "female": "P"}, "eligible": {"true": "YA", "false": "TIDAK"}, "covered": {"true": "AKTIF", "false": "NONAKTIF"},
         "payer": {"pbi-apbn": "PBI_APBN", "pbi-apbd": "PBI_APBD", "self": "MANDIRI", "none": "TANPA"}}
TITLES = {"nik": "NIK", "family_card": "No. KK", "name": "Nama Peserta", "birth_date": "Tanggal Lahir", "sex": "L/P",
          "village": "Kode Desa", "address": "Alamat", "phone": "No. HP", "eligible": "Berhak PBI", "covered": "Status",
          "payer": "Jenis Peserta", "premium": "Iuran", "household_size": "Jumlah Keluarga", "welfare_decile": "Desil"}
FIELDS = list(TITLES)
COLUMNS = list(TITLES.values())
ADD, REMOVE = "(tambah baris ini / add this row)", "(hapus baris ini / remove this row)"


def local(field, value):
    """A canonical value as the clerk types it."""
    if value is None:
        return ""
    if field in CODES:
        return CODES[field][value]
    if field == "birth_date":
        year, month, day = value.split("-")
        return f"{day}/{month}/{year}"
    return value.replace(".", ",") if field == "premium" else value


def canonical(field, text):
    """The other way, written independently of the agent."""
    if text == "":
        return None
    if field in CODES:
        return next(value for value, spelt in CODES[field].items() if spelt == text)
    if field == "birth_date":
        day, month, year = text.split("/")
        return f"{year}-{month}-{day}"
    if field == "premium":
        whole, _, part = text.partition(",")
        return f"{whole}.{part:0<2}"
    return text


class ListAgency(Agency):
    """dinkes with a list: its folder, its agent, and its clerk."""

    def __init__(self, region, name="dinkes"):
        super().__init__(region, name, TEMPLATE)
        self.folder = f"{self.run.folder}/daftar"
        self.state = f"{self.run.folder}/keadaan"
        self.rows = {}      # by NIK: title to text
        self.saved = 0

    def places(self):
        return {**super().places(), "FOLDER": self.folder, "STATE": self.state}

    def text(self, separator=";", mark=None, titles=None):
        """The list as a spreadsheet saves it."""
        out = io.StringIO()
        writer = csv.writer(out, delimiter=separator, lineterminator="\r\n")
        writer.writerow(titles or COLUMNS)
        for row in self.rows.values():
            writer.writerow([row[title] for title in COLUMNS])
        return out.getvalue() + (f"{mark}\r\n" if mark else "")

    def drop(self, name, content, saved=None):
        """Puts a file into the folder as those do who copy: written beside, then moved there; `saved` (seconds) is when it was saved."""
        data = content if isinstance(content, bytes) else content.encode("utf-8")
        path = f"{self.run.folder}/drop"
        with open(path, "wb") as file:
            file.write(data)
        if saved is not None:
            os.utime(path, (saved, saved))
        self.run.own(path)
        os.rename(path, f"{self.folder}/{name}")

    def gone(self, name):
        def taken():
            if self.agent:
                self.agent.must_live()
            return not os.path.exists(f"{self.folder}/{name}")
        wait_for(f"{name} is taken or refused", taken, 60)

    def save(self, wait=True, complete=True, **options):
        self.saved += 1
        name = f"peserta-{self.saved}.csv"
        self.drop(name, self.text(mark=f"# lengkap {len(self.rows)} baris" if complete else None, **options))
        if wait:
            self.gone(name)
            assert not self.refusals(name), self.refusals(name)

    def refusals(self, name):
        """The texts beside refused files of this name, the newest last."""
        found = []
        for path in sorted(glob.glob(f"{self.folder}/ditolak/*_{name}.txt")):
            with open(path, encoding="utf-8") as file:
                found.append(file.read())
        return found

    def notes(self, name):
        found = []
        for path in sorted(glob.glob(f"{self.folder}/diterima/*_{name}.txt")):
            with open(path, encoding="utf-8") as file:
                found.append(file.read())
        return found

    def corrections(self, typed=True):
        """The lines of the file of corrections, as they are typed in: without the apostrophe that keeps a spreadsheet from calculating. The
        file is there as soon as there is one."""
        with open(f"{self.folder}/koreksi/peserta.csv", encoding="utf-8-sig", newline="") as file:
            lines = list(csv.reader(file, delimiter=";"))
        assert lines[0][0] == "kunci / key"
        lines = [[cell.removeprefix("'") if typed else cell for cell in line] for line in lines]
        return [dict(zip(("key", "column", "yours", "now", "reason", "reason_en", "since"), line)) for line in lines[1:]]

    def corrected(self):
        """The list with its corrections typed in."""
        rows = {key: dict(row) for key, row in self.rows.items()}
        for line in self.corrections():
            if line["column"] == ADD:
                rows[line["key"]] = dict.fromkeys(COLUMNS, "")
            elif line["column"] == REMOVE:
                del rows[line["key"]]
            else:
                rows[line["key"]][line["column"]] = line["now"]
        return {row["NIK"]: row for row in rows.values()}

    def type_corrections(self):
        self.rows = self.corrected()

    def holds(self):
        """What the agency holds in the end, by NIK, in the catalog's spelling."""
        return {nik: {field: canonical(field, row[TITLES[field]]) for field in FIELDS} for nik, row in self.corrected().items()}

    def put(self, nik, **fields):
        """Types one row, a new one or into one that is there."""
        row = self.rows.setdefault(nik, dict.fromkeys(COLUMNS, ""))
        row["NIK"] = nik
        for field, value in fields.items():
            row[TITLES[field]] = local(field, value)

    def status(self):
        return json.loads(self.run.call([self.run.program("selaras"), "status", "--json", "--socket", self.control])[1])


def canonical_rows(region):
    """What the broker holds."""
    columns = ", ".join(f"{field}::text" for field in FIELDS)
    return {row[0]: dict(zip(FIELDS, row)) for row in region.query(f"SELECT {columns} FROM selaras.resident WHERE exists")}


def wait_in_step(region, agency, seconds=60):
    """Until the list with its corrections says what the broker holds, and so do the databases."""
    def same():
        for process in [region.broker, agency.agent, *(other.agent for other in region.agencies.values())]:
            process.must_live()
        try:
            return agency.holds() == canonical_rows(region) and not region.differences()
        except (FileNotFoundError, KeyError, StopIteration):
            return False        # the list and the corrections are of two moments
    try:
        wait_for("in step", same, seconds)
    except Failed as failed:
        ours, theirs = canonical_rows(region), agency.holds()
        differ = [(nik, {field: (ours.get(nik, {}).get(field), theirs.get(nik, {}).get(field)) for field in FIELDS
                         if ours.get(nik, {}).get(field) != theirs.get(nik, {}).get(field)})
                  for nik in {*ours, *theirs} if ours.get(nik) != theirs.get(nik)]
        raise Failed(f"{failed}: {region.differences()} {differ[:3]}") from None
