// Package config is kelp's one typed configuration: the struct Config, where
// its values come from (defaults, file, drop-ins, environment, flags), how
// they are checked, and every path on disk that follows from them.
package config
