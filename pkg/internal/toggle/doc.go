// Package toggle has a component run while it is switched on.
package toggle
