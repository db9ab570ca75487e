"""What is personal of people by itself, and the class of what is not."""

NAMING = frozenset(
    (
        *("first_name", "last_name", "email", "phone", "birthday", "national_id"),
        *("street", "street_number", "address_2"),
    )
)
"""Traits that say who somebody is: nobody can declare that they are not personal."""
NO_PII = "none"
"""The class of a trait that is shown to everybody."""
