// Package pages reads the documentation as the tests need it: the code blocks of a
// page, each with what the comment above it says of who runs it.
//
//	<!-- test: TestSnapshots same -->     the test runs this block, by the name "same"
//	<!-- not run: why no test does -->
//
// Its main type is Block. tests/rules sees to it that every block of commands has
// such a comment, and that the test which it names reads the block.
package pages
