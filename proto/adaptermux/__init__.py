"""The API of AdapterMux: .proto files, and the stubs generated from them."""
