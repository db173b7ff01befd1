# What the agencies of the sample regency agreed on. The broker reads this file; agents receive it.
catalog
    version = 1
    agencies = "dinsos dinkes dp2kb bappeda tenggarong"

record
    resident
        # Who may add and remove residents; a removal by another agency is put back.
        existence
            write = "dinsos dinkes"
            otherwise = put-back
            conflict = owner
        # Who receives a resident, each with the legal basis of the disclosure. Fields may say otherwise.
        read
            dinsos = "UU 13/2011"
            dinkes = "agreement 440/12/2025"
            tenggarong = "agreement 470/3/2026"
        # Fields that only make sense together are decided as one.
        groups
            residence
                write = "dinsos dinkes tenggarong"
                otherwise = put-back
                conflict = owner
        fields
            nik
                type = text
                identifier = yes
                required = yes
                personal = yes
                pattern = "[0-9]{16}"
                write = "dinsos dinkes"
                conflict = owner
            family_card
                type = text
                personal = yes
                pattern = "[0-9]{16}"
                write = dinsos
                otherwise = put-back
            # SITI M. is Siti M.: each agency keeps its own spelling.
            name
                type = text
                compare = letters
                required = yes
                personal = yes
                write = "dinsos dinkes"
                conflict = owner
            birth_date
                type = date
                personal = yes
                write = "dinsos dinkes"
                conflict = owner
            sex
                type = text
                pattern = "male|female"
                write = "dinsos dinkes"
                conflict = owner
            village
                type = text
                pattern = "[0-9]{2}[.][0-9]{2}[.][0-9]{2}[.][0-9]{4}"
                group = residence
            address
                type = text
                personal = yes
                group = residence
            phone
                type = text
                personal = yes
                write = "dinkes dinsos tenggarong"
                conflict = owner
            eligible
                type = boolean
                write = dinsos
                otherwise = put-back
                # A wrong import waits for a person.
                limit = "true to false 10 % 1 h"
            covered
                type = boolean
                write = dinkes
                otherwise = put-back
            payer
                type = text
                pattern = "pbi-apbn|pbi-apbd|self|none"
                write = dinkes
                otherwise = put-back
            premium
                type = decimal
                scale = 2
                write = dinkes
                otherwise = put-back
            household_size
                type = integer
                write = "dinsos dinkes"
                conflict = largest
            welfare_decile
                type = integer
                write = "dinsos dinkes"
                conflict = smallest

    # A family, by its card; whose children may grow up stunted.
    household
        existence
            write = "dp2kb dinkes"
        read
            dp2kb = "Perpres 72/2021"
            dinkes = "Perpres 72/2021"
        fields
            family_card
                type = text
                identifier = yes
                required = yes
                personal = yes
                pattern = "[0-9]{16}"
                write = "dp2kb dinkes"
            head
                type = text
                compare = letters
                personal = yes
                write = "dp2kb dinkes"
            village
                type = text
                pattern = "[0-9]{2}[.][0-9]{2}[.][0-9]{2}[.][0-9]{4}"
                write = "dp2kb dinkes"
            members
                type = integer
                write = "dp2kb dinkes"
                conflict = largest
            stunting_risk
                type = boolean
                write = "dinkes dp2kb"
            surveyed
                type = timestamp
                write = "dp2kb dinkes"
                conflict = largest

    # Of one mother, the first, second, ... ; it exists until she has given birth.
    pregnancy
        existence
            write = "dp2kb dinkes"
        read
            dp2kb = "Perpres 72/2021"
            dinkes = "Perpres 72/2021"
        groups
            expecting
                identifier = yes
                write = "dp2kb dinkes"
        fields
            mother
                type = text
                personal = yes
                pattern = "[0-9]{16}"
                group = expecting
            ordinal
                type = integer
                group = expecting
            name
                type = text
                compare = letters
                personal = yes
                write = "dp2kb dinkes"
            due
                type = date
                write = "dinkes dp2kb"
            visits
                type = integer
                write = "dinkes dp2kb"
                conflict = largest
            at_risk
                type = boolean
                write = "dinkes dp2kb"

    # Programs and their activities, by the national nomenclature.
    program
        existence
            write = bappeda
        read
            bappeda = "Permendagri 90/2019"
            dinkes = "Permendagri 90/2019"
        fields
            code
                type = text
                identifier = yes
                required = yes
                pattern = "[0-9X][.][0-9X]{2}[.][0-9]{2}([.][0-9][.][0-9]{2})?"
                write = bappeda
            title
                type = text
                required = yes
                write = bappeda
            level
                type = text
                required = yes
                pattern = "program|activity"
                write = bappeda

    # A line of the regency's budget. It has one stage: the one in force.
    budget
        existence
            write = bappeda
        read
            bappeda = "Permendagri 77/2020"
            dinsos = "Permendagri 77/2020"
            dinkes = "Permendagri 77/2020"
        groups
            line
                identifier = yes
                write = bappeda
            allocation
                write = bappeda
        fields
            year
                type = integer
                group = line
            unit
                type = text
                group = line
            sub_activity
                type = text
                group = line
            account
                type = text
                group = line
            fund
                type = text
                group = line
            stage
                type = text
                pattern = "original|shifted|revised"
                group = allocation
            ceiling
                type = decimal
                scale = 2
                group = allocation
            spent
                type = decimal
                scale = 2
                write = "dinsos dinkes"

    # Who is in which program, for which period, at what cost a month.
    enrolment
        existence
            write = dinsos
        read
            dinsos = "UU 13/2011"
            dinkes = "agreement 440/12/2025"
        groups
            participation
                identifier = yes
                write = dinsos
        fields
            nik
                type = text
                personal = yes
                pattern = "[0-9]{16}"
                group = participation
            program
                type = text
                pattern = "PKH|BPNT|PBI"
                group = participation
            since
                type = date
                write = dinsos
            until
                type = date
                write = dinsos
            amount
                type = decimal
                scale = 2
                write = dinsos
