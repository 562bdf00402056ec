// Command mksbom prints what is in programs that Go has built, as a software bill of
// materials in CycloneDX' JSON. It reads what the linker has noted in them, as go
// version -m does, so it lists what is linked in and not what go.mod would allow.
//
//	mksbom -name NAME -version VERSION [-add PURL]… PROGRAM…
package main
