module apollo.io/apollo

go 1.19
