module github.com/spillway-sfu/spillway/bench/quic

go 1.26.0

require (
	github.com/quic-go/quic-go v0.65.0
	github.com/spillway-sfu/spillway v0.0.0
)

require (
	golang.org/x/crypto v0.57.0 // indirect
	golang.org/x/net v0.59.0 // indirect
	golang.org/x/sys v0.48.0 // indirect
)

replace github.com/spillway-sfu/spillway => ../..
