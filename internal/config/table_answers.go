package config

// httpErrorsKeywords and userlistKeywords are the sections that answers refer to (manual sections 12.4 and 12.2).
func httpErrorsKeywords() []Keyword {
	return []Keyword{{Name: "errorfile", Args: "<code> <file>", In: InHTTPErrors, Manual: "12.4", parse: (*parser).httpErrorsFile}}
}

func userlistKeywords() []Keyword {
	return []Keyword{
		{Name: "group", Args: "<name> [users <user>,...]", In: InUserlist, Manual: "12.2", parse: (*parser).userlistGroup},
		{Name: "user", Args: "<name> [password|insecure-password <password>] [groups <group>,...]", In: InUserlist, Manual: "12.2", parse: (*parser).userlistUser},
	}
}
