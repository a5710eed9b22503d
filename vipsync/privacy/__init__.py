"""What in a file names a person: formats are read, findings are judged; nothing is changed or sent.

`inspecting` reads a file, recognises its format by content and asks the module of that format.
`judging` holds the findings against what the settings accept. Values of fields stay in memory.
"""
