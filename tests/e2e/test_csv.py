"""An agency whose people keep a list in a spreadsheet, beside one with a database: what is taken, what is refused, and what comes back."""

import glob
import io
import json
import os
import random
import shutil
import sqlite3
import time
import zipfile
from xml.sax.saxutils import escape

import pytest

import clerk
from clerk import ADD, REMOVE, ListAgency
from cluster import wait_for
from history import copy_folder
from region import Region

PEOPLE = 30


def nik(number):
    return f"64020601018{number:05}"


class Place:
    """dinsos with its database and dinkes with its list."""

    def __init__(self):
        self.region = Region(agencies=["dinsos"])
        self.dinkes = ListAgency(self.region)
        self.serial = PEOPLE

    def start(self):
        region, dinkes = self.region, self.dinkes
        region.create_servers()
        region.configure(fence_interval="250ms")
        dinkes.configure(retry_interval="500ms")
        dinkes.prepare()
        for number in range(1, PEOPLE + 1):
            dinkes.put(nik(number), name=f"Warga {number}", birth_date="1980-01-02", sex="female", village="64.02.06.1001",
                       address=f"Jl. {number}", phone=f"0812{number:08}", covered="true", payer="pbi-apbd", premium="42000.00")
        region.start()
        dinkes.enrol()
        dinkes.start(wait=False)
        dinkes.save()
        dinkes.wait_up()
        clerk.wait_in_step(region, dinkes)
        return self

    def somebody(self):
        self.serial -= 1
        return nik(self.serial)


@pytest.fixture(scope="module")
def place():
    made = Place()
    try:
        yield made.start()
    finally:
        made.region.end()


@pytest.fixture(autouse=True)
def in_step_after(place):
    if not place.dinkes.agent.alive():
        place.dinkes.start()
    yield
    place.dinkes.type_corrections()
    place.dinkes.save()
    clerk.wait_in_step(place.region, place.dinkes)
    assert place.region.audit_problems() == []


def refused(place, name, content, *words):
    """It is refused whole, for these reasons, and nothing is changed."""
    before = place.region.value("SELECT head FROM selaras.state")
    place.dinkes.drop(name, content)
    place.dinkes.gone(name)
    texts = place.dinkes.refusals(name)
    assert len(texts) == 1
    for word in words:
        assert word in texts[0], texts[0]
    assert "DITOLAK" in texts[0] and "REFUSED" in texts[0]
    assert place.region.value("SELECT head FROM selaras.state") == before
    return texts[0]


# What is taken

def test_the_first_list_is_the_first_load(place):
    assert place.region.dinsos.value("SELECT count(*) FROM penerima_bantuan") == str(PEOPLE)
    assert place.region.value("SELECT count(*) FROM selaras.entry WHERE kind = 'change' AND operation = 'load' AND agency = 'dinkes'") \
        == str(PEOPLE)


def test_an_edit_travels_and_the_same_list_again_does_not(place):
    person, dinkes, region = place.somebody(), place.dinkes, place.region
    before = region.change_entries("dinkes")
    dinkes.put(person, phone="081199", premium="1250000.50")
    dinkes.save()
    clerk.wait_in_step(region, dinkes)
    assert region.dinsos.value(f"SELECT telepon FROM penerima_bantuan WHERE nik = '{person}'") == "081199"
    assert region.value(f"SELECT premium::text FROM selaras.resident WHERE nik = '{person}'") == "1250000.50"
    [ground] = region.query("SELECT DISTINCT l.ground FROM selaras.change_log l JOIN selaras.resident r ON r.number = l.record"
                            f" WHERE r.nik = '{person}' AND l.agency = 'dinkes' AND l.field = 'premium' AND l.new = '1250000.50'")
    assert ground == (f"peserta-{dinkes.saved}.csv",)       # the list it came from
    dinkes.save()
    dinkes.save(separator=",")
    dinkes.put(place.somebody(), phone="081198")
    dinkes.save()
    clerk.wait_in_step(region, dinkes)
    assert region.change_entries("dinkes") == before + 2


def test_a_feed_is_a_correction_until_it_is_typed_in(place):
    person, dinkes, region = place.somebody(), place.dinkes, place.region
    region.dinsos.query(f"UPDATE penerima_bantuan SET berhak = 'Y', tgl_lahir = '1999-12-31' WHERE nik = '{person}'")
    clerk.wait_in_step(region, dinkes)
    lines = {line["column"]: line for line in dinkes.corrections() if line["key"] == person}
    assert lines["Berhak PBI"]["now"] == "YA" and lines["Berhak PBI"]["yours"] == ""
    assert (lines["Tanggal Lahir"]["yours"], lines["Tanggal Lahir"]["now"]) == ("02/01/1980", "31/12/1999")
    before = region.change_entries("dinkes")
    other = place.somebody()
    dinkes.put(other, phone="081177")
    dinkes.save()           # not typed in yet: no edit
    clerk.wait_in_step(region, dinkes)
    assert region.change_entries("dinkes") == before + 1
    dinkes.type_corrections()
    dinkes.save()
    wait_for("no corrections", lambda: dinkes.corrections() == [])
    assert region.change_entries("dinkes") == before + 1


def test_what_is_put_back_says_why(place):
    person, dinkes, region = place.somebody(), place.dinkes, place.region
    region.dinsos.query(f"UPDATE penerima_bantuan SET berhak = 'T' WHERE nik = '{person}'")
    clerk.wait_in_step(region, dinkes)
    dinkes.type_corrections()
    dinkes.put(person, eligible="true")
    dinkes.save()

    def said():     # until the list is taken, the corrections are those of the one before
        return [line for line in dinkes.corrections() if line["key"] == person and line["yours"] == "YA"]
    wait_for("the corrections say what was put back", said)
    clerk.wait_in_step(region, dinkes)
    [line] = said()
    assert (line["column"], line["now"]) == ("Berhak PBI", "TIDAK")
    assert line["reason"] == "ditetapkan oleh dinsos (pemilik data)"
    assert line["reason_en"] == "decided by dinsos (owner of this data)"
    assert line["since"]


def test_rows_of_others_are_to_be_added_and_removed(place):
    dinkes, region = place.dinkes, place.region
    new, old = "6402060101970001", place.somebody()
    region.dinsos.query(f"INSERT INTO penerima_bantuan (nik, nama, telepon) VALUES ('{new}', '=1+1', '+62811')")
    region.dinsos.query(f"DELETE FROM penerima_bantuan WHERE nik = '{old}'")
    clerk.wait_in_step(region, dinkes)
    lines = dinkes.corrections(typed=False)
    assert [line["column"] for line in lines if line["key"] == f"'{old}"] == [REMOVE]
    added = {line["column"]: line["now"] for line in lines if line["key"] == f"'{new}"}
    assert added == {ADD: "", "NIK": f"'{new}", "Nama Peserta": "'=1+1", "No. HP": "'+62811"}


def test_a_corrected_number_is_a_correction_of_its_row(place):
    dinkes, region, old = place.dinkes, place.region, place.somebody()
    new = old[:12] + "9" + old[13:]
    region.dinsos.query(f"UPDATE penerima_bantuan SET nik = '{new}' WHERE nik = '{old}'")
    clerk.wait_in_step(region, dinkes)
    assert [(line["key"], line["column"], line["now"]) for line in dinkes.corrections() if old in line.values()] == [(old, "NIK", new)]
    before = region.change_entries("dinkes")
    dinkes.type_corrections()
    dinkes.save()
    wait_for("no corrections", lambda: dinkes.corrections() == [])
    clerk.wait_in_step(region, dinkes)
    assert region.change_entries("dinkes") == before


def test_a_list_that_comes_late_is_of_when_it_was_saved(place):
    """Its clerk did not know what others wrote until it was copied here: the rule decides, not who comes last."""
    dinkes, region, person = place.dinkes, place.region, place.somebody()
    dinkes.put(person, household_size="16", phone="081155")
    saved = time.time()
    text = dinkes.text()
    region.dinsos.query(f"UPDATE penerima_bantuan SET jml_anggota = 17, telepon = '081144' WHERE nik = '{person}'")
    wait_for("it is fed", lambda: any(line["now"] == "17" for line in dinkes.corrections() if line["key"] == person))
    dinkes.drop("peserta-larut.csv", text, saved=saved)
    dinkes.gone("peserta-larut.csv")
    clerk.wait_in_step(region, dinkes)
    assert region.query(f"SELECT household_size::text, phone FROM selaras.resident WHERE nik = '{person}'") == [("17", "081155")]
    assert [(line["yours"], line["now"]) for line in dinkes.corrections() if line["key"] == person and line["column"] == "Jumlah Keluarga"] \
        == [("16", "17")]


def test_a_number_that_the_clerk_corrects_is_one_change(place):
    dinkes, region, old = place.dinkes, place.region, place.somebody()
    new = old[:12] + "8" + old[13:]
    record = region.value(f"SELECT number FROM selaras.resident WHERE nik = '{old}'")
    before = region.change_entries("dinkes")
    row = dinkes.rows.pop(old)
    dinkes.rows[new] = {**row, "NIK": new}
    dinkes.save()
    wait_for("it has arrived", lambda: region.value(f"SELECT number FROM selaras.resident WHERE nik = '{new}'") == record)
    clerk.wait_in_step(region, dinkes)
    assert region.change_entries("dinkes") == before + 1
    assert region.dinsos.value(f"SELECT count(*) FROM penerima_bantuan WHERE nik IN ('{old}', '{new}')") == "1"


def test_only_a_complete_list_removes(place):
    dinkes, region, person = place.dinkes, place.region, place.somebody()
    row = dinkes.rows.pop(person)
    dinkes.put(place.somebody(), phone="081166")
    before = region.change_entries("dinkes")
    dinkes.save(complete=False)
    wait_for("the edit has arrived", lambda: region.change_entries("dinkes") == before + 1)
    assert region.dinsos.value(f"SELECT count(*) FROM penerima_bantuan WHERE nik = '{person}'") == "1"
    dinkes.drop("peserta-lengkap.csv", dinkes.text())
    dinkes.gone("peserta-lengkap.csv")
    clerk.wait_in_step(region, dinkes)
    assert region.dinsos.value(f"SELECT count(*) FROM penerima_bantuan WHERE nik = '{person}'") == "0"
    dinkes.rows[person] = row
    dinkes.save()
    clerk.wait_in_step(region, dinkes)
    assert region.dinsos.value(f"SELECT count(*) FROM penerima_bantuan WHERE nik = '{person}'") == "1"


def test_windows_1252_and_unknown_columns(place):
    dinkes, region, person = place.dinkes, place.region, place.somebody()
    dinkes.put(person, name="José Ünal – “Bu”")
    text = dinkes.text().replace("Desil\r\n", "Desil;Catatan\r\n").replace(";\r\n", ";;\r\n")
    dinkes.drop("peserta-1252.csv", text.encode("cp1252"))
    dinkes.gone("peserta-1252.csv")
    assert "Catatan" in dinkes.notes("peserta-1252.csv")[0]
    clerk.wait_in_step(region, dinkes)
    assert region.value(f"SELECT name FROM selaras.resident WHERE nik = '{person}'") == "José Ünal – “Bu”"


# Workbooks

def workbook(rows, numbers=()):
    """A workbook with one page: text cells as shared by no string table, and the columns in `numbers` as what a spreadsheet calls a number."""
    def cell(column, row, value):
        place = f"{chr(65 + column)}{row}"
        if column in numbers and row > 1 and value:
            return f'<c r="{place}"><v>{value}</v></c>'
        return f'<c r="{place}" t="inlineStr"><is><t>{escape(value)}</t></is></c>' if value else ""

    lines = "".join(f'<row r="{at}">' + "".join(cell(column, at, value) for column, value in enumerate(row)) + "</row>"
                    for at, row in enumerate(rows, 1))
    main, relations = "http://schemas.openxmlformats.org/spreadsheetml/2006/main", "http://schemas.openxmlformats.org/package/2006/relationships"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    parts = {
        "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>'
        '<Override PartName="/xl/worksheets/sheet1.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/>'
        "</Types>",
        "_rels/.rels": f'<Relationships xmlns="{relations}"><Relationship Id="r1" Type="{office}/officeDocument" Target="xl/workbook.xml"/>'
        "</Relationships>",
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets><sheet name="Data" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{relations}"><Relationship Id="r1" Type="{office}/worksheet"'
        ' Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>{lines}</sheetData></worksheet>',
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, text in parts.items():
            file.writestr(name, '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>' + text)
    return out.getvalue()


def pages(dinkes, mark=True):
    rows = [clerk.COLUMNS, *([row[title] for title in clerk.COLUMNS] for row in dinkes.rows.values())]
    return rows + [[f"# lengkap {len(dinkes.rows)} baris"]] * mark


def test_a_workbook_is_taken_like_a_list(place):
    dinkes, region, person = place.dinkes, place.region, place.somebody()
    before = region.change_entries("dinkes")
    dinkes.put(person, phone="081155", premium="77000.50", address='Jl. "Baru"; 5')
    rows = pages(dinkes)
    column = clerk.COLUMNS.index("Iuran")
    for row in rows[1:-1]:
        row[column] = row[column].replace(",", ".")
    dinkes.drop("peserta.xlsx", workbook(rows, numbers={column}))
    dinkes.gone("peserta.xlsx")
    assert dinkes.refusals("peserta.xlsx") == []
    clerk.wait_in_step(region, dinkes)
    assert region.change_entries("dinkes") == before + 1
    assert region.query(f"SELECT phone, premium::text, address FROM selaras.resident WHERE nik = '{person}'") \
        == [("081155", "77000.50", 'Jl. "Baru"; 5')]


def test_a_workbook_whose_numbers_are_quantities_is_refused(place):
    rows = pages(place.dinkes, mark=False)
    for row in rows[1:]:
        row[0] = f"{float(row[0]):.11E}"
    refused(place, "peserta-angka.xlsx", workbook(rows, numbers={0}), 'kolom 1 "NIK"')


def test_what_is_no_workbook_is_refused(place):
    refused(place, "peserta-bukan.xlsx", b"PK\x03\x04" + b"x" * 100, ".xlsx")
    refused(place, "peserta-potong.xlsx", workbook(pages(place.dinkes))[:-400], ".xlsx")


# What is refused

def test_a_broken_file_is_refused_with_line_and_column(place):
    lines = place.dinkes.text().split("\r\n")
    lines[3] = lines[3].replace("Jl. ", 'Jl. "x" ')
    refused(place, "peserta-rusak.csv", "\r\n".join(lines), "baris 4, kolom 7", "line 4, column 7")


def test_a_truncated_file_is_refused(place):
    text = place.dinkes.text(mark="# lengkap 30 baris")
    refused(place, "peserta-potong-1.csv", text[:-300], "terpotong", "cut off")
    whole = text.split("\r\n")
    refused(place, "peserta-potong-2.csv", "\r\n".join(whole[:10] + whole[-2:]), "tertulis 30 baris, tetapi ada 9")


def test_wrong_encodings_are_refused(place):
    text = place.dinkes.text().replace("Warga 5", "Wargá 5").replace("Warga 6", "Warg\udcff 6")
    refused(place, "peserta-campur.csv", text.encode("utf-8", "surrogateescape"), "UTF-8", "Windows-1252")
    refused(place, "peserta-16.csv", place.dinkes.text().encode("utf-16"), "UTF-16")


def test_numbers_that_a_spreadsheet_has_ruined_are_refused(place):
    text = place.dinkes.text()
    text = refused(place, "peserta-e.csv", text.replace(nik(3), "6,40206E+15").replace(nik(5), "6.40206E+15"),
                   'baris 4, 6, kolom 1 "NIK"', "6.4E+15")
    assert "6,40206" not in text
    rounded = place.dinkes.text()
    for person in list(place.dinkes.rows):
        rounded = rounded.replace(person, person[:15] + "0")
    refused(place, "peserta-bulat.csv", rounded, "dibulatkan", "rounded")


def test_wrong_cells_are_all_named(place):
    text = place.dinkes.text().replace("02/01/1980", "31/02/1980", 1).replace("PBI_APBD", "LAIN", 1).replace("42000,00", "42.0000", 1)
    refused(place, "peserta-sel.csv", text, '"Tanggal Lahir"', '"Jenis Peserta"', '"Iuran"')
    refused(place, "peserta-ganda.csv", place.dinkes.text().replace(nik(3), nik(2)), "sudah ada di baris 3")
    refused(place, "peserta-judul.csv", place.dinkes.text().replace("No. HP", "Telp"), 'kolom "No. HP" tidak ada')
    refused(place, "lain.csv", place.dinkes.text(), "peserta*")


def test_an_older_list_is_refused(place):
    place.dinkes.drop("peserta-tua.csv", place.dinkes.text(), saved=1)
    place.dinkes.gone("peserta-tua.csv")
    assert "lebih lama" in place.dinkes.refusals("peserta-tua.csv")[0]


def test_a_clock_that_is_ahead_makes_no_list_old(place):
    """That of the clerk, and our own before it was set right."""
    dinkes = place.dinkes
    dinkes.drop("peserta-besok.csv", dinkes.text(), saved=time.time() + 86400)
    dinkes.gone("peserta-besok.csv")
    dinkes.save()
    dinkes.stop()
    with sqlite3.connect(f"{dinkes.state}/state.sqlite") as state:
        state.execute("UPDATE list SET saved_us = saved_us + 86400000000")
    state.close()
    dinkes.start()
    dinkes.save()


def test_other_files_are_left_alone(place):
    for name in ("~$peserta.xlsx", "peserta.csv.part", "catatan.txt"):
        place.dinkes.drop(name, "x")
    os.mkfifo(f"{place.dinkes.folder}/peserta-pipa.csv")
    os.symlink("/etc/passwd", f"{place.dinkes.folder}/peserta-tautan.csv")
    place.dinkes.save()
    for name in ("~$peserta.xlsx", "peserta.csv.part", "catatan.txt", "peserta-pipa.csv", "peserta-tautan.csv"):
        os.unlink(f"{place.dinkes.folder}/{name}")


def test_a_mapping_is_tried_on_the_last_list(place):
    """One row both ways, of a file that was taken, masked; and a title that the list lacks is said before the service starts."""
    dinkes, run = place.dinkes, place.region.run

    def checked(*options, path=dinkes.file):
        return run.call([run.program("selaras"), "check", "mapping", path, "--catalog", f"{run.folder}/catalog.zpl", *options])
    for person in dinkes.rows:
        dinkes.put(person, premium="77000.50")
    dinkes.save()
    sheet = [[cell.replace("77000,50", "77000.50") for cell in row] for row in pages(dinkes)]
    dinkes.drop("peserta-contoh.xlsx", workbook(sheet))
    dinkes.gone("peserta-contoh.xlsx")
    workbook_taken = glob.glob(f"{dinkes.folder}/diterima/*_peserta-contoh.xlsx")
    dinkes.stop()
    for last in ("xlsx", "csv"):
        _, output, _ = checked("--json")
        rows = {row["column"]: row for row in json.loads(output)["examples"]}
        premium, status = rows["Iuran"], rows["Status"]
        assert (premium["here"], premium["field"], premium["value"], premium["back"]) == ("77000.50", "premium", "77000.50", "77000.50"), last
        assert (status["here"], status["value"], status["back"]) == ("AKTIF", "true", "AKTIF")
        assert rows["NIK"]["masked"] and not any(person in output for person in dinkes.rows)
        assert json.loads(checked("--json", "--reveal")[1])["examples"][0]["here"] in dinkes.rows
        for path in workbook_taken:
            os.unlink(path)
        workbook_taken = []
    with open(dinkes.file, encoding="utf-8") as file:
        other = run.write("dinkes-lain.zpl", file.read().replace("column = Alamat", 'column = "Alamat Lengkap"'))
    status, _, errors = run.call([run.program("selaras"), "check", "mapping", other, "--catalog", f"{run.folder}/catalog.zpl"], check=False)
    assert status == 1 and 'column "Alamat Lengkap" is not there' in errors
    dinkes.start()


def loaded_anew(region, mode):
    before = region.value("SELECT incarnation FROM selaras.agency WHERE name = 'dinkes'")
    region.selaras("agency", "mode", "dinkes", mode, "--ground", "SK 440/2026")
    wait_for(f"dinkes is loaded in mode {mode}", lambda: region.query(
        f"SELECT state, incarnation > {before} FROM selaras.agency WHERE name = 'dinkes'") == [("active", "t")], 30)


def test_who_publishes_is_heard_and_who_observes_is_not_and_neither_has_corrections(place):
    dinkes, region = place.dinkes, place.region
    ours, theirs = place.somebody(), place.somebody()

    def phones():
        """What the broker and dinsos have."""
        return [region.value(f"SELECT phone FROM selaras.resident WHERE nik = '{ours}'"),
                region.dinsos.value(f"SELECT telepon FROM penerima_bantuan WHERE nik = '{ours}'")]

    def decided(eligible):
        """By its owner, while dinkes is in this mode."""
        region.dinsos.query(f"UPDATE penerima_bantuan SET berhak = '{'Y' if eligible == 't' else 'T'}' WHERE nik = '{theirs}'")
        wait_for("dinsos is heard", lambda: region.value(f"SELECT eligible FROM selaras.resident WHERE nik = '{theirs}'") == eligible)

    def not_told():
        """Not even by the file that it writes anew when it starts."""
        dinkes.stop()
        os.unlink(dinkes.corrections_file())
        dinkes.start()
        wait_for("its file is written", lambda: os.path.exists(dinkes.corrections_file()))
        return dinkes.corrections() == [] and dinkes.status()["peserta_to_correct"] == 0
    loaded_anew(region, "publish")
    decided("t")
    dinkes.put(ours, phone="0877001")
    dinkes.save()
    wait_for("dinkes is heard", lambda: phones() == ["0877001", "0877001"])
    assert not_told()
    loaded_anew(region, "observe")
    decided("f")
    dinkes.put(ours, phone="0877002")
    dinkes.save()
    wait_for("it is observed", lambda: region.value("SELECT count(*) FROM selaras.observed WHERE position('0877002'::bytea IN body) > 0") == "1")
    assert phones() == ["0877001", "0877001"] and not_told()
    loaded_anew(region, "full")
    wait_for("what its owner decided is to be corrected", lambda: [
        line["now"] for line in dinkes.corrections() if line["key"] == theirs and line["column"] == "Berhak PBI"] == ["TIDAK"])


# What stays true

def test_status_says_how_old_the_list_is(place):
    status = place.dinkes.status()
    assert "complete, 0 min old" in status["peserta_list"]
    assert status["peserta_list_age_s"] >= 0 and status["peserta_to_correct"] == len({line["key"] for line in place.dinkes.corrections()})


@pytest.mark.parametrize("lost", [False, True], ids=["restored", "lost"])
def test_a_state_whose_history_is_in_doubt_stops_its_agency(place, lost):
    """What it had said and heard since is not known: it stops and says why. With a new load it goes on, and nobody is lost."""
    dinkes, region, person = place.dinkes, place.region, place.somebody()
    dinkes.stop()
    copy_folder(dinkes.state, f"{dinkes.state}.backup")
    dinkes.start()
    dinkes.put(person, phone="0811999991")
    dinkes.save()
    clerk.wait_in_step(region, dinkes)
    dinkes.stop()
    shutil.rmtree(dinkes.state)
    if lost:
        shutil.rmtree(f"{dinkes.state}.backup")
        dinkes.prepare()
    else:
        os.rename(f"{dinkes.state}.backup", dinkes.state)
    dinkes.start(wait=False)
    assert dinkes.agent.wait(40) > 0
    [(state, reason)] = region.query("SELECT state, reason FROM selaras.agency WHERE name = 'dinkes'")
    assert state == "quarantined" and ("was loaded before" if lost else "restored from a backup") in reason
    region.selaras("agency", "reload", "dinkes", "--ground", "SK 12/2026")
    dinkes.start(wait=False)
    dinkes.save(wait=False)
    dinkes.wait_up()
    clerk.wait_in_step(region, dinkes)
    assert region.value(f"SELECT phone FROM selaras.resident WHERE nik = '{person}'") == "0811999991"


def test_killed_in_the_middle_of_taking_a_list(place):
    """However far it was: the list is taken once, whole."""
    dinkes, region, chance = place.dinkes, place.region, random.Random("kill list")
    made = region.change_entries("dinkes")
    for turn in range(8):
        for number in range(1, 9):
            dinkes.put(nik(number), phone=f"0899{turn:04}{number:04}")
        dinkes.save(wait=False)
        time.sleep(chance.random() * 0.06)
        dinkes.kill()
        dinkes.start(wait=False)
        made += 8
        wait_for("every change has its entry", lambda: region.change_entries("dinkes") == made)
    clerk.wait_in_step(region, dinkes)
    assert region.change_entries("dinkes") == made
