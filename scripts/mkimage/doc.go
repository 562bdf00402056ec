// Command mkimage makes one container image from files and writes it as package
// images embeds it: OUTPUT.tar, and OUTPUT.json with its reference and digest.
//
//	mkimage -out FILE -ref REFERENCE [-arch ARCHITECTURE] [-user UID:GID] [-base]
//	  [-file FILE:PATH]… [-link PATH:TARGET]… [-cmd] PROGRAM [ARGUMENT…]
package main
