"""Who may call what: certificates, tokens and what they allow, and the record of what was done."""
