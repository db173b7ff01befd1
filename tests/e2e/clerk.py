"""clerk.py: an agency whose people keep a list in a spreadsheet, and what its clerk does: types, saves, reads the corrections.

What such an agency holds is the list with its corrections typed in. Both are files that the clerk sees, so nothing here looks into
the agent's own state.
"""

import csv
import glob
import io
import json
import os
from dataclasses import dataclass

from agency import Agency
from cluster import ROOT, Failed, wait_for

TEMPLATE = f"{ROOT}/tests/e2e/lists/dinkes.zpl.in"
ADD, REMOVE = "(tambah baris ini / add this row)", "(hapus baris ini / remove this row)"
DATES, MONEY, LETTERS = {"birth_date"}, {"premium"}, {"name"}


@dataclass
class Form:
    """What a list looks like: its block, the title of each of the catalog's fields (the NIK first: it is the key), and how codes are
    spelt, canonical to local."""
    block: str
    titles: dict
    codes: dict

    def __post_init__(self):
        self.fields, self.columns = list(self.titles), list(self.titles.values())

    def local(self, field, value):
        """A canonical value as the clerk types it."""
        if value is None:
            return ""
        if field in self.codes:
            return self.codes[field][value]
        if field in DATES:
            year, month, day = value.split("-")
            return f"{day}/{month}/{year}"
        return value.replace(".", ",") if field in MONEY else value

    def canonical(self, field, text):
        """The other way, written independently of the agent."""
        if text == "":
            return None
        if field in self.codes:
            return next(value for value, spelt in self.codes[field].items() if spelt == text)
        if field in DATES:
            day, month, year = text.split("/")
            return f"{year}-{month}-{day}"
        if field in MONEY:
            whole, _, part = text.partition(",")
            return f"{whole}.{part:0<2}"
        return text


# The list that stands in for dinkes's database in tests, and the one of the sample's sub-district.
DINKES = Form("peserta", {
    "nik": "NIK", "family_card": "No. KK", "name": "Nama Peserta", "birth_date": "Tanggal Lahir", "sex": "L/P", "village": "Kode Desa",
    "address": "Alamat", "phone": "No. HP", "eligible": "Berhak PBI", "covered": "Status", "payer": "Jenis Peserta", "premium": "Iuran",
    "household_size": "Jumlah Keluarga", "welfare_decile": "Desil"}, {
        "sex": {"male": "L", "female": "P"}, "eligible": {"true": "YA", "false": "TIDAK"},
        "covered": {"true": "AKTIF", "false": "NONAKTIF"},
        "payer": {"pbi-apbn": "PBI_APBN", "pbi-apbd": "PBI_APBD", "self": "MANDIRI", "none": "TANPA"}})
TENGGARONG = Form("warga", {
    "nik": "NIK", "family_card": "No. KK", "name": "Nama Lengkap", "birth_date": "Tanggal Lahir", "sex": "L/P",
    "village": "Kode Kelurahan", "address": "Alamat", "phone": "No. HP", "eligible": "Penerima Bantuan"}, {
        "sex": {"male": "L", "female": "P"}, "eligible": {"true": "YA", "false": "TIDAK"}})
TITLES, FIELDS, COLUMNS = DINKES.titles, DINKES.fields, DINKES.columns


def alike(rows):
    """Rows, by NIK, without what the catalog does not compare: a name's capitals and blanks."""
    return {nik: {field: "".join(c for c in value.upper() if c.isalnum()) if field in LETTERS and value else value
                  for field, value in row.items()} for nik, row in rows.items()}


class ListAgency(Agency):
    """An agency with a list: its folder, its agent, and its clerk."""

    def __init__(self, region, name="dinkes", template=TEMPLATE, form=DINKES):
        super().__init__(region, name, template)
        self.form = form
        self.folder = f"{self.run.folder}/daftar"
        self.state = f"{self.run.folder}/keadaan"
        self.rows = {}      # by NIK: title to text
        self.saved = 0

    def places(self):
        return {**super().places(), "FOLDER": self.folder, "STATE": self.state}

    def join(self):
        """A first load needs a first list."""
        self.enrol()
        self.prepare()
        self.start(wait=False)
        self.save()
        self.wait_up()

    def text(self, separator=";", mark=None, titles=None):
        """The list as a spreadsheet saves it."""
        out = io.StringIO()
        writer = csv.writer(out, delimiter=separator, lineterminator="\r\n")
        writer.writerow(titles or self.form.columns)
        for row in self.rows.values():
            writer.writerow([row[title] for title in self.form.columns])
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
        name = f"{self.form.block}-{self.saved}.csv"
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

    def corrections_file(self):
        return f"{self.folder}/koreksi/{self.form.block}.csv"

    def corrections(self, typed=True):
        """The lines of the file of corrections, as they are typed in: without the apostrophe that keeps a spreadsheet from calculating. The
        file is there as soon as there is one."""
        with open(self.corrections_file(), encoding="utf-8-sig", newline="") as file:
            lines = list(csv.reader(file, delimiter=";"))
        assert lines[0][0] == "kunci / key"
        lines = [[cell.removeprefix("'") if typed else cell for cell in line] for line in lines]
        return [dict(zip(("key", "column", "yours", "now", "reason", "reason_en", "since"), line)) for line in lines[1:]]

    def corrected(self):
        """The list with its corrections typed in."""
        rows = {key: dict(row) for key, row in self.rows.items()}
        for line in self.corrections():
            if line["column"] == ADD:
                rows[line["key"]] = dict.fromkeys(self.form.columns, "")
            elif line["column"] == REMOVE:
                del rows[line["key"]]
            else:
                rows[line["key"]][line["column"]] = line["now"]
        return {row["NIK"]: row for row in rows.values()}

    def type_corrections(self):
        self.rows = self.corrected()

    def holds(self):
        """What the agency holds in the end, by NIK, in the catalog's spelling."""
        form = self.form
        return {nik: {field: form.canonical(field, row[form.titles[field]]) for field in form.fields}
                for nik, row in self.corrected().items()}

    def list_differences(self, whole=True):
        """Where the list with its corrections says something else than the broker: sentences. `whole`: everybody
        there is must stand in it."""
        try:
            ours, theirs = alike(canonical_rows(self.region, self.form)), alike(self.holds())
        except (FileNotFoundError, KeyError, StopIteration):
            return [f"{self.name}: the list and its corrections are of two moments"]
        if not whole:
            ours = {nik: row for nik, row in ours.items() if nik in theirs}
        return [f"{self.name}: {nik} differs in {[field for field in self.form.fields if ours.get(nik, {}).get(field) != theirs.get(nik, {}).get(field)]}"
                for nik in sorted({*ours, *theirs}) if ours.get(nik) != theirs.get(nik)][:3]

    def put(self, nik, **fields):
        """Types one row, a new one or into one that is there."""
        row = self.rows.setdefault(nik, dict.fromkeys(self.form.columns, ""))
        row["NIK"] = nik
        for field, value in fields.items():
            row[self.form.titles[field]] = self.form.local(field, value)

    def status(self):
        return json.loads(self.run.call([self.run.program("selaras"), "status", "--json", "--socket", self.control])[1])


def canonical_rows(region, form):
    """What the broker holds."""
    columns = ", ".join(f"{field}::text" for field in form.fields)
    return {row[0]: dict(zip(form.fields, row)) for row in region.query(f"SELECT {columns} FROM selaras.resident WHERE exists")}


def wait_in_step(region, agency, seconds=60):
    """Until the list with its corrections says what the broker holds, and so do the databases."""
    def same():
        for process in [region.broker, agency.agent, *(other.agent for other in region.agencies.values())]:
            process.must_live()
        return not agency.list_differences() and not region.differences()
    try:
        wait_for("in step", same, seconds)
    except Failed as failed:
        raise Failed(f"{failed}: {region.differences()} {agency.list_differences()}") from None
