Test = "Test:"
