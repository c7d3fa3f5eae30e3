module daybook.invalid/proof

go 1.18

require golang.org/x/mod v0.8.0
