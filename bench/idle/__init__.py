"""What an idle box costs on the line: packets counted, told apart by what they are for, and a month made of them."""
