module examples

go 1.19

require apollo.io/apollo v0.1.0

replace apollo.io/apollo => ../sdk/go
