module daybook.invalid/witness

go 1.21.0

require github.com/transparency-dev/formats v0.0.0-20240826204810-ad21d25a1c7f

require golang.org/x/mod v0.20.0

require github.com/cisco/go-tls-syntax v0.0.0-20200617162716-46b0cfb76b9b // indirect
