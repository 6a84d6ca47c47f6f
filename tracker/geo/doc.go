// Package geo tells where addresses are: which network operator (autonomous system) announces them, and in which
// country. It reads the databases that an operator names, of the MaxMind DB format or CSV, keeps what it needs of them in
// memory, and reads a file again when it changes. None comes with Slipstream: `slipstream tracker geo fetch` says where to get
// one.
//
//	db, err := geo.Open([]string{"asn.mmdb", "country.csv"}, log)
//	isp, region := db.Locate(addr)
//	go db.Watch(ctx)
//
// A file is read whole and turned into two sorted tables, one for each family of addresses, in which neighbouring ranges
// of one place are one. So what is wrong with a file shows when it is read and not at a viewer's expense, a file that is being
// replaced does no harm, and a look-up is a binary search that allocates nothing. Addresses of IPv6 count by their first 64
// bits: what is smaller is one customer.
//
// # CSV
//
// A line is a range and what is there, separated by commas or tabs; what is not understood in the first line is taken for
// names of columns. The range is a prefix (192.0.2.0/24) or its first and last address; then come, in this order, each of
// them optional, the number of the autonomous system (64500 or AS64500; 0 is unknown) and the country (two letters, ISO
// 3166-1), if at least every other line has one. Anything else is for people. That is the form of iptoasn.com, of DB-IP's lite databases, and of ip-location-db.
// Of ranges in each other the innermost counts. A file of either format may be compressed with gzip.
package geo
