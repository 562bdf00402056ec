// Command mkpayload packs each directory that it is given into a set of helper
// programs, as package payload embeds them.
//
//	mkpayload OUTPUT-DIRECTORY DIRECTORY…
package main
