# Programs and budget lines, as a planning agency and a treasury might agree on them: nothing of the sample is in it.
catalog
    version = 1
    agencies = "bappeda bpkad"
record
    program
        existence
            write = bappeda
            otherwise = put-back
        read
            bappeda = "Permendagri 90/2019"
            bpkad = "Permendagri 90/2019"
        fields
            code
                type = text
                identifier = yes
                required = yes
                pattern = "[0-9]+[.][0-9]{2}[.][0-9]{2}"
                write = bappeda
                otherwise = put-back
            title
                type = text
                required = yes
                write = bappeda
                otherwise = put-back
            active
                type = boolean
                write = bappeda
                otherwise = put-back
            kind
                type = text
                pattern = "social|health|other"
                write = "bappeda bpkad"
                conflict = owner
    budget
        existence
            write = "bpkad bappeda"
            conflict = owner
        read
            bappeda = "Permendagri 77/2020"
            bpkad = "Permendagri 77/2020"
        fields
            line
                type = text
                identifier = yes
                required = yes
                write = "bpkad bappeda"
                conflict = owner
            program
                type = text
                write = "bappeda"
                otherwise = put-back
            ceiling
                type = decimal
                scale = 2
                write = "bappeda bpkad"
                conflict = smallest
            spent
                type = decimal
                scale = 2
                write = bpkad
                otherwise = put-back
            year
                type = integer
                write = "bpkad bappeda"
                conflict = owner
            decided
                type = date
                write = "bappeda"
                otherwise = put-back
