"""From one clause to tasks, by what the clause works on and asks for.

composition.py   what all of them share: the request, the draft, the number of the clause
sources.py       what a clause works on: a file, a text in the request, what came before
exact.py         arithmetic, conversions, questions about dates
over_tables.py   questions about a table
feelings.py      positive, negative, complaining texts of a table
over_texts.py    wishes about texts
anything.py      any capability of the catalog, by its description and its parameters
"""
