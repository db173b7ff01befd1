# What the agencies of the sample regency agreed on. The broker reads this file; agents receive it.
catalog
    version = 1
    agencies = "dinsos dinkes"

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
        # Fields that only make sense together are decided as one.
        groups
            residence
                write = "dinsos dinkes"
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
            name
                type = text
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
                write = "dinkes dinsos"
                conflict = owner
            eligible
                type = boolean
                write = dinsos
                otherwise = put-back
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
