"""The risk gate: what is assessed before money leaves an account of a customer.

`rules` has the rules, which are a part of the posting policy. `scoring` counts the points of a transaction.
`domain.accounts.posting` asks for them.
"""
